"""General tools that do not depend on networks or data sets."""
