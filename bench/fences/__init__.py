"""What bench.geofence measures: a world, the engines, what is told of them."""
