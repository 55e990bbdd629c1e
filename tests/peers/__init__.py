"""Our families against client libraries that others wrote: each reads what the other writes."""
