"""Calls one method of any service: `python -m programs.call ADDRESS SERVICE/METHOD JSON`.

Writes `{"response": …}`, or `{"code", "reason", "message"}` of an error.
"""

import asyncio
import json
import sys
from typing import Any

import grpc
from google.protobuf import json_format

from programs.generic import call, load_messages
from services.common import clients

SECONDS = 60.0


async def called(address: str, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Makes the call and gives what came of it."""
    load_messages()
    channel = clients.channel(address)
    try:
        response = await call(channel, name, request, SECONDS, ())
    except grpc.aio.AioRpcError as failure:
        error = clients.from_status(failure)
        return {"code": error.code.name, "reason": error.reason, "message": error.message}
    finally:
        await channel.close()
    return {"response": json_format.MessageToDict(response, preserving_proto_field_name=True)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(called(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))))
