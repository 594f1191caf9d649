"""How two manifests differ, part by part; each file yields differences and says which rule decides about each."""
