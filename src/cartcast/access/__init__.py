"""Who may ask, and who did what: keys of the services, and the audit log of a project."""
