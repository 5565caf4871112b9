"""The MCP server: an agent asks, and every number that it gets has an id, a unit and an interval.

It computes nothing: each tool calls what the command line calls. What was in the log is quoted as
data, ids of people stay inside, and `check_text` holds a text against the numbers handed out.
"""
