"""The stages of ingestion, one module each: ``run(work, resources)``.

They know nothing of queues, of HTTP or of each other.
"""
