"""What takes connections: sockets, certificates, and the two servers that speak HTTP on them."""
