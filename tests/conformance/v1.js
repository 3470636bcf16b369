// The official JavaScript core library for v1 against a service. Prints one JSON object a case.
//
// usage: NODE_EXTRA_CA_CERTS=CA NODE_PATH=MODULES node v1.js URL PICTURES PARTNER_ID API_KEY
'use strict';

const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { IDApi, WebApi } = require('smile-identity-core');

const [base, pictures, partner, key] = process.argv.slice(2);
const url = `${base}/v1`;
// Inline pictures: of files named by their path this library sends the path.
const inline = (name) => readFileSync(join(pictures, name)).toString('base64');
const images = [
  { image_type_id: 2, image: inline('selfie.jpg') },
  ...Array.from({ length: 8 }, (_, number) => ({ image_type_id: 6, image: inline(`liveness-${number}.jpg`) })),
];
const options = { return_job_status: true, return_history: false, return_images: false };
const products = {
  1: 'biometric KYC (1)', 2: 'authentication (2)', 4: 'registration (4)', 5: 'enhanced KYC (5)', 6: 'document (6)', 11: 'enhanced document (11)',
};
const documents = [
  { image_type_id: 3, image: inline('selfie.jpg') },
  { image_type_id: 7, image: inline('liveness-0.jpg') },
];
const number = {
  first_name: 'Ada', last_name: 'Example', country: 'NG', id_type: 'NIN_V2', id_number: '00000000000', dob: '1990-01-01', entered: 'true',
};

async function check(product, name, wanted, work) {
  let got;
  try {
    got = await work();
  } catch (error) {
    const text = `${error.message} ${JSON.stringify(error.response?.data ?? {})}`;
    got = text.includes(wanted) ? wanted : text.slice(0, 200);
  }
  const row = { sdk: 'smile-identity-core (JavaScript, v1)', product, case: name, passed: got === wanted, got, wanted };
  console.log(JSON.stringify(row));
}

function submit(user, job, kind, apiKey = key, more = [], idInfo = {}) {
  return async () => {
    const service = new WebApi(partner, 'https://example.com/callback', apiKey, url);
    const params = { user_id: user, job_id: `js-${job}`, job_type: kind };
    const status = await service.submit_job(params, [...images, ...more], idInfo, options);
    if (!status.job_complete) throw new Error(`not complete: ${JSON.stringify(status)}`);
    return status.result.ResultCode;
  };
}

async function main() {
  await check(products[4], 'approved', '0840', submit('js-new', 1, 4));
  await check(products[4], 'enrolled already', '2209', submit('js-new', 2, 4));
  await check(products[2], 'approved', '0820', submit('js-new', 3, 2));
  await check(products[2], 'denied', '0821', submit('v1-denied', 4, 2));
  await check(products[2], 'possible spoof', '0823', submit('v1-spoof', 5, 2));
  await check(products[2], 'not enrolled', '2210', submit('js-nobody', 6, 2));
  await check(products[2], 'job id used already', '2215', submit('js-new', 3, 2));
  await check(products[2], 'another API key', '2205', submit('js-new', 7, 2, 'another-key'));
  await check(products[1], 'approved', '0810', submit('js-bio', 11, 1, key, [], number));
  await check(products[1], 'denied', '0811', submit('v1-denied', 12, 1, key, [], number));
  for (const [kind, first] of [[6, 20], [11, 30]]) {
    const document = { country: 'NG', id_type: 'PASSPORT' };
    await check(products[kind], 'approved', '0810', submit('js-doc', first, kind, key, documents, document));
    await check(products[kind], 'denied', '0811', submit('v1-denied', first + 1, kind, key, documents, document));
  }
  for (const [digit, code] of [['0', '1012'], ['1', '1013'], ['3', '1015']]) {
    await check(products[5], `number ending in ${digit}`, code, async () => {
      const params = { user_id: 'js-number', job_id: `js-number-${digit}`, job_type: 5 };
      const result = await new IDApi(partner, key, url).submit_job(params, { ...number, id_number: `0000000000${digit}` });
      return result.ResultCode;
    });
  }
  // The library checks the answer's signature itself.
  await check('job_status', 'of a finished job', '0820', async () => {
    const service = new WebApi(partner, 'https://example.com/callback', key, url);
    const status = await service.get_job_status({ user_id: 'js-new', job_id: 'js-3' }, options);
    return status.result.ResultCode;
  });
}

main();
