"""One file per schema version. A file that was released is never changed."""
