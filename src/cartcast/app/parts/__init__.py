"""Parts of the pages: each draws one concept from what a page is given."""
