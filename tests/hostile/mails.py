"""E-mails in e-mails, and e-mails with bombs in them."""

from email.message import EmailMessage

from tests import documents
from tests.hostile import archives
from tests.hostile.archives import TEXT


def attaches_itself(times: int) -> bytes:
    """The same message in itself, as often as given: what a message that attaches itself looks
    like once it is sent.
    """
    head = (
        "From: ada@example.org\nTo: ada@example.org\nMessage-ID: <same@example.org>\n"
        "Subject: See attached\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=b{number}\n\n"
        "--b{number}\nContent-Type: text/plain\n\n" + TEXT + " {number}\n"
        "--b{number}\nContent-Type: message/rfc822\n\n"
    )
    innermost = "From: ada@example.org\nSubject: See attached\n\nThe innermost.\n"
    opened = "".join(head.format(number=number) for number in range(times))
    closed = "".join(f"--b{number}--\n" for number in reversed(range(times)))
    return (opened + innermost + closed).encode()


def parts_in_parts(depth: int) -> bytes:
    """Multiparts in multiparts."""
    head = "From: ada@example.org\nSubject: Deep\nMIME-Version: 1.0\n"
    opened = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(depth)
    )
    return (head + opened + f"Content-Type: text/plain\n\n{TEXT}\n").encode()


def many_parts(count: int) -> bytes:
    """Very many attachments."""
    head = "From: ada@example.org\nSubject: Many\nMIME-Version: 1.0\n"
    head += "Content-Type: multipart/mixed; boundary=b\n\n"
    head += f"--b\nContent-Type: text/plain\n\n{TEXT}\n"
    part = "--b\nContent-Type: text/plain; name=a.txt\nContent-Disposition: attachment\n\nx\n"
    return (head + part * count + "--b--\n").encode()


def long_headers(words: int) -> bytes:
    """Headers of encoded words and addresses without end."""
    subject = " ".join(["=?utf-8?q?a?="] * words)
    addresses = ", ".join(f"a{number} <a{number}@example.org>" for number in range(words))
    return f"Subject: {subject}\nFrom: a@example.org\nTo: {addresses}\n\n{TEXT}\n".encode()


def carries_a_bomb() -> bytes:
    """A zip bomb as a Word document, beside text and an honest attachment."""
    name = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    message: EmailMessage = documents.email(
        "Harvest",
        TEXT,
        attachments=[
            ("bomb.docx", name, archives.flat_bomb("docx")),
            ("../../etc/honest.txt", "text/plain", b"The honest attachment."),
        ],
    )
    return message.as_bytes()


def many_pictures(count: int) -> bytes:
    """Pictures that want to be read, more of them than one file may have."""
    pictures = [
        documents.image_bytes(documents.picture(f"Harvest {number}", size=(400, 120)))
        for number in range(count)
    ]
    attached = [(f"{number}.png", "image/png", data) for number, data in enumerate(pictures)]
    return documents.email("Harvest", TEXT, attachments=attached).as_bytes()


def names_a_file() -> bytes:
    """An attachment "by reference", as RFC 2017 allows it."""
    return (
        "From: ada@example.org\nSubject: Look\nMIME-Version: 1.0\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n"
        f"{TEXT}\n--b\nContent-Type: message/external-body; access-type=local-file;\n"
        ' name="/etc/passwd"\n\nContent-Type: text/plain\n\n--b--\n'
    ).encode()
