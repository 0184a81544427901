"""The handlers of the Graph face: one module per resource, one function per row of `graph.routes`."""
