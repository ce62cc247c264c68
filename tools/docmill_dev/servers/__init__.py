"""The servers of development, each driven as a child process: the stack's three, and mail."""

from docmill_dev.servers.mail import MailServer
from docmill_dev.servers.postgres import PostgresServer
from docmill_dev.servers.s3 import S3Server
from docmill_dev.servers.server import Server, ServerFailed
from docmill_dev.servers.valkey import ValkeyServer

__all__ = ["MailServer", "PostgresServer", "S3Server", "Server", "ServerFailed", "ValkeyServer"]
