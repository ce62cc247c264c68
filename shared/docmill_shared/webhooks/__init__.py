"""Webhooks: an owner's addresses that hear what became of their files.

A trigger (migration 0004) writes one delivery for each webhook in the transaction that changes a
file; the api keeps the webhooks, and the janitor's worker delivers. Signatures are those of the
Standard Webhooks specification (https://www.standardwebhooks.com).
"""
