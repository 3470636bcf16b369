"""One job by the official Python core library for v1.

usage: REQUESTS_CA_BUNDLE=CA golden_v1.py URL PICTURES PARTNER_ID API_KEY registration|authentication USER
"""

import sys
from pathlib import Path

from smile_id_core import WebApi

URL, PICTURES, PARTNER, KEY, PRODUCT, USER = f"{sys.argv[1]}/v1", Path(sys.argv[2]), *sys.argv[3:7]
IMAGES = [{"image_type_id": 0, "file_name": str(PICTURES / "selfie.jpg")},
          *({"image_type_id": 4, "file_name": str(PICTURES / f"liveness-{number}.jpg")} for number in range(8))]
WebApi(PARTNER, "https://example.com/callback", KEY, URL).submit_job(
    {"user_id": USER, "job_id": f"golden-{PRODUCT}", "job_type": {"registration": 4, "authentication": 2}[PRODUCT]},
    IMAGES, {}, {"return_job_status": True, "return_history": False, "return_images": False, "use_enrolled_image": False})
