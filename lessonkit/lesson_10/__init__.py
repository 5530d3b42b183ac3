"""What lesson 10 imports besides the modules that lessons share."""
