"""Four systems that hold personal data, each as its own team would write it: billing, support, analytics, payments."""
