"""One job by the official Python core library for v1.

usage: REQUESTS_CA_BUNDLE=CA golden_v1.py URL PICTURES PARTNER_ID API_KEY PRODUCT USER
"""

import sys
from pathlib import Path

from smile_id_core import IdApi, WebApi

URL, PICTURES, PARTNER, KEY, PRODUCT, USER = f"{sys.argv[1]}/v1", Path(sys.argv[2]), *sys.argv[3:7]
IMAGES = [{"image_type_id": 0, "file_name": str(PICTURES / "selfie.jpg")},
          *({"image_type_id": 4, "file_name": str(PICTURES / f"liveness-{number}.jpg")} for number in range(8))]
DOCUMENTS = [{"image_type_id": 1, "file_name": str(PICTURES / "selfie.jpg")},
             {"image_type_id": 5, "file_name": str(PICTURES / "selfie.jpg")}]
PERSON = {"first_name": "Amina Fatou", "last_name": "Clearwater", "country": "NG", "email": "amina.clearwater@example.com"}
NUMBER = {**PERSON, "id_type": "NIN_V2", "id_number": "00000000000"}
KIND, images, id_info = {
    "registration": (4, IMAGES, {}),
    "authentication": (2, IMAGES, {}),
    "biometric_kyc": (1, IMAGES, {**NUMBER, "entered": "true"}),
    "document": (6, IMAGES + DOCUMENTS, {**PERSON, "entered": "false"}),
    "enhanced_kyc": (5, None, NUMBER),
}[PRODUCT]
PARAMS = {"user_id": USER, "job_id": f"golden-{PRODUCT}", "job_type": KIND}
if images:
    WebApi(PARTNER, "https://example.com/callback", KEY, URL).submit_job(PARAMS, images, id_info, {
        "return_job_status": True, "return_history": False, "return_images": False, "use_enrolled_image": False})
else:
    IdApi(PARTNER, KEY, URL).submit_job(PARAMS, id_info)
