"""Images of generators as batches on one device, without a copy to the host."""
