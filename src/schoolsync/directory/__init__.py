"""The built-in directory of a tenant: reading schools, classes and people, and people made by hand."""
