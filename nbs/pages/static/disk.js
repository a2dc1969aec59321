// A browser reads no other file of a page that was opened from disk: the search then lists its results without their text.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
