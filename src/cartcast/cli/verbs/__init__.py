"""One file a verb: parse, one library call, show."""
