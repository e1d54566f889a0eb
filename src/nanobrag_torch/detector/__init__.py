"""What a detector makes of photons: the noise chain of noisify, faithful and put right."""
