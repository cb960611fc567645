"""What people look at: pictures of images."""
