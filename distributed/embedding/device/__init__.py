"""Faces and templates of batches of images that stay on one device."""
