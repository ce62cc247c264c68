"""The three servers of the development stack, each driven as a child process."""

from docmill_dev.servers.postgres import PostgresServer
from docmill_dev.servers.s3 import S3Server
from docmill_dev.servers.server import Server, ServerFailed
from docmill_dev.servers.valkey import ValkeyServer

__all__ = ["PostgresServer", "S3Server", "Server", "ServerFailed", "ValkeyServer"]
