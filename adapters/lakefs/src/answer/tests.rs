//! Which answers of lakeFS mean what: statuses with messages, and pages that are not lakeFS's at all.
