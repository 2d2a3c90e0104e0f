"""Who may do what: policies, read from TOML, asked by the server; they know no gRPC."""
