"""What the ``ray`` shim exports besides Serve: starting, objects, the cluster, where code runs."""
