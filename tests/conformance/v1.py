"""The official Python core library for v1 against a service. Prints one JSON object a case.

usage: REQUESTS_CA_BUNDLE=CA v1.py URL PICTURES PARTNER_ID API_KEY
"""

import json
import sys
from pathlib import Path

from smile_id_core import IdApi, ServerError, Utilities, WebApi

URL, PICTURES, PARTNER, KEY = f"{sys.argv[1]}/v1", Path(sys.argv[2]), sys.argv[3], sys.argv[4]
IMAGES = [{"image_type_id": 0, "file_name": str(PICTURES / "selfie.jpg")},
          *({"image_type_id": 4, "file_name": str(PICTURES / f"liveness-{number}.jpg")} for number in range(8))]
OPTIONS = {"return_job_status": True, "return_history": False, "return_images": False, "use_enrolled_image": False}
PRODUCTS = {1: "biometric KYC (1)", 2: "authentication (2)", 4: "registration (4)", 5: "enhanced KYC (5)", 6: "document (6)",
            8: "update photo (8)", 11: "enhanced document (11)"}
DOCUMENTS = [{"image_type_id": 1, "file_name": str(PICTURES / "selfie.jpg")},
             {"image_type_id": 5, "file_name": str(PICTURES / "liveness-0.jpg")}]
NUMBER = {"first_name": "Ada", "last_name": "Example", "country": "NG", "id_type": "NIN_V2", "id_number": "00000000000",
          "dob": "1990-01-01", "entered": "true"}


def case(product, name, wanted, work):
    """`wanted`: the result code that the library hands on, or the refusal's code within its error."""
    try:
        got = work()
    except ServerError as error:
        got = next((word for word in (wanted,) if word in str(error)), str(error)[-200:])
    print(json.dumps({"sdk": "smile-id-core (Python, v1)", "product": product, "case": name, "passed": got == wanted,
                      "got": got, "wanted": wanted}), flush=True)


def submit(user, job, kind, key=KEY, images=None, number=None, **options):
    params = {"user_id": user, "job_id": job, "job_type": kind}
    status = WebApi(PARTNER, "https://example.com/callback", key, URL).submit_job(
        params, images or IMAGES, number or {}, {**OPTIONS, **options})
    assert status["job_complete"], status
    assert status["result"]["PartnerParams"]["job_id"] == job, status
    return status["result"]["ResultCode"]


def check_number(user, job, number):
    params = {"user_id": user, "job_id": job, "job_type": 5}
    return IdApi(PARTNER, KEY, URL).submit_job(params, {**NUMBER, "id_number": number})["ResultCode"]


def main():
    def job(user, name, kind, key=KEY, **more):
        return lambda: submit(user, f"py-{name}", kind, key, **more)

    case(PRODUCTS[4], "approved", "0840", job("py-new", "1", 4))
    case(PRODUCTS[4], "enrolled already", "2209", job("py-new", "2", 4))
    case(PRODUCTS[2], "approved", "0820", job("py-new", "3", 2))
    case(PRODUCTS[2], "denied", "0821", job("v1-denied", "4", 2))
    case(PRODUCTS[2], "possible spoof", "0823", job("v1-spoof", "5", 2))
    case(PRODUCTS[2], "not enrolled", "2210", job("py-nobody", "6", 2))
    case(PRODUCTS[2], "job id used already", "2215", job("py-new", "3", 2))
    case(PRODUCTS[2], "another API key", "2205", job("py-new", "7", 2, "another-key"))
    case(PRODUCTS[1], "approved", "0810", job("py-bio", "11", 1, number=NUMBER))
    case(PRODUCTS[1], "denied", "0811", job("v1-denied", "12", 1, number=NUMBER))
    for kind, first in ((6, 20), (11, 30)):
        documents = {"images": IMAGES + DOCUMENTS, "number": {"country": "NG", "id_type": "PASSPORT", "entered": False}}
        case(PRODUCTS[kind], "approved", "0810", job("py-doc", str(first), kind, **documents))
        case(PRODUCTS[kind], "denied", "0811", job("v1-denied", str(first + 1), kind, **documents))
        case(PRODUCTS[kind], "face on file", "0810", job("v1-spoof-not", str(first + 2), kind, **{
            **documents, "images": DOCUMENTS, "use_enrolled_image": True}))
    case(PRODUCTS[8], "of an enrolled person", "0810", job("py-new", "40", 8))
    case(PRODUCTS[8], "not enrolled", "2210", job("py-nobody", "41", 8))
    for number, code in (("00000000000", "1012"), ("00000000001", "1013"), ("00000000003", "1015")):
        case(PRODUCTS[5], f"number ending in {number[-1]}", code, lambda number=number: check_number(
            "py-number", f"py-number-{number[-1]}", number))
    # The library checks the answer's signature itself.
    case("job_status", "of a finished job", "0820", lambda: Utilities(PARTNER, KEY, URL).get_job_status(
        {"user_id": "py-new", "job_id": "py-3", "job_type": 2}, dict(OPTIONS))["result"]["ResultCode"])


main()
