"""The official Python core library for v1 against a service. Prints one JSON object a case.

usage: REQUESTS_CA_BUNDLE=CA v1.py URL PICTURES PARTNER_ID API_KEY
"""

import json
import sys
from pathlib import Path

from smile_id_core import ServerError, Utilities, WebApi

URL, PICTURES, PARTNER, KEY = f"{sys.argv[1]}/v1", Path(sys.argv[2]), sys.argv[3], sys.argv[4]
IMAGES = [{"image_type_id": 0, "file_name": str(PICTURES / "selfie.jpg")},
          *({"image_type_id": 4, "file_name": str(PICTURES / f"liveness-{number}.jpg")} for number in range(8))]
OPTIONS = {"return_job_status": True, "return_history": False, "return_images": False, "use_enrolled_image": False}
PRODUCTS = {2: "authentication (2)", 4: "registration (4)"}


def case(product, name, wanted, work):
    """`wanted`: the result code that the library hands on, or the refusal's code within its error."""
    try:
        got = work()
    except ServerError as error:
        got = next((word for word in (wanted,) if word in str(error)), str(error)[-200:])
    print(json.dumps({"sdk": "smile-id-core (Python, v1)", "product": product, "case": name, "passed": got == wanted,
                      "got": got, "wanted": wanted}), flush=True)


def submit(user, job, kind, key=KEY):
    params = {"user_id": user, "job_id": job, "job_type": kind}
    status = WebApi(PARTNER, "https://example.com/callback", key, URL).submit_job(params, IMAGES, {}, dict(OPTIONS))
    assert status["job_complete"], status
    assert status["result"]["PartnerParams"]["job_id"] == job, status
    return status["result"]["ResultCode"]


def main():
    def job(user, name, kind, key=KEY):
        return lambda: submit(user, f"py-{name}", kind, key)

    case(PRODUCTS[4], "approved", "0840", job("py-new", "1", 4))
    case(PRODUCTS[4], "enrolled already", "2209", job("py-new", "2", 4))
    case(PRODUCTS[2], "approved", "0820", job("py-new", "3", 2))
    case(PRODUCTS[2], "denied", "0821", job("v1-denied", "4", 2))
    case(PRODUCTS[2], "possible spoof", "0823", job("v1-spoof", "5", 2))
    case(PRODUCTS[2], "not enrolled", "2210", job("py-nobody", "6", 2))
    case(PRODUCTS[2], "job id used already", "2215", job("py-new", "3", 2))
    case(PRODUCTS[2], "another API key", "2205", job("py-new", "7", 2, "another-key"))
    # The library checks the answer's signature itself.
    case("job_status", "of a finished job", "0820", lambda: Utilities(PARTNER, KEY, URL).get_job_status(
        {"user_id": "py-new", "job_id": "py-3", "job_type": 2}, dict(OPTIONS))["result"]["ResultCode"])


main()
