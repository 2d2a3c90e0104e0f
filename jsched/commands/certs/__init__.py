"""`jsched certs`: certificates for servers and clients, one file a verb."""
