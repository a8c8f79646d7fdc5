"""Reads mail, one JSON string of Latin-1 characters a line, and prints what Python's email package makes of it, a JSON object a line.

Knows nothing of who wrote the mail: an independent reader for report.test.ts.
"""

import email
import email.policy
import json
import sys

POLICY = email.policy.compat32


def fields(block):
    """Header fields in order, unfolded."""
    return [[name, " ".join(str(value).split())] for name, value in block.items()]


def part(message):
    kind = message.get_content_type()
    shown = {
        "type": kind,
        "description": message.get("Content-Description"),
        "encoding": message.get("Content-Transfer-Encoding"),
        "charset": message.get_param("charset"),
    }
    if kind == "message/delivery-status":
        # The package parses this type into one message for each block of fields.
        shown["blocks"] = [fields(block) for block in message.get_payload()]
    elif kind == "message/global-delivery-status":
        payload = message.get_payload()
        text = payload[0].as_bytes() if isinstance(payload, list) else message.get_payload(decode=True)
        shown["text"] = text.decode("utf-8")
    elif kind.startswith("message/"):
        payload = message.get_payload()
        text = payload[0].as_bytes(policy=POLICY) if isinstance(payload, list) else message.get_payload(decode=True)
        shown["text"] = text.decode("latin-1")
    else:
        shown["text"] = message.get_payload(decode=True).decode("latin-1")
    return shown


for line in sys.stdin:
    message = email.message_from_bytes(json.loads(line).encode("latin-1"), policy=POLICY)
    print(
        json.dumps(
            {
                "headers": fields(message),
                "reportType": message.get_param("report-type"),
                "defects": [type(defect).__name__ for each in message.walk() for defect in each.defects],
                "parts": [part(each) for each in message.get_payload()] if message.is_multipart() else [],
            }
        )
    )
