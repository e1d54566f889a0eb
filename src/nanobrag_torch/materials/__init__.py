"""What matter does to X-rays: amplitudes of amorphous materials, powder rings, Compton scattering, absorption."""
