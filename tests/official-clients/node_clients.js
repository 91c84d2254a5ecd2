// Both stand-ins against Node's clients: @parse/node-apn and firebase-admin; their errors are the judge.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const dir = process.env.SANDBOX_DIR;
const sandbox = JSON.parse(fs.readFileSync(path.join(dir, 'sandbox.json')));
const device = (start) => start.padEnd(64, '0');

function claim(what, holds, found) {
  if (!holds) throw new Error(`FAILED  ${what}: found ${JSON.stringify(found)}`);
  console.log(`ok      ${what}`);
}

async function fault(members) {
  const answer = await fetch(`${sandbox.control_url}/faults`, { method: 'POST', body: JSON.stringify(members) });
  if (!answer.ok) throw new Error(await answer.text());
}

async function sentTo(token) {
  const answer = await fetch(`${sandbox.control_url}/sent?after=`);
  return (await answer.json()).data.filter((sent) => sent.token === token);
}

async function nodeApn() {
  const apn = require('@parse/node-apn');
  const { hostname, port } = new URL(sandbox.apns_url);
  const provider = new apn.Provider({
    token: { key: path.join(dir, 'apns-key.p8'), keyId: sandbox.key_id, teamId: sandbox.team_id },
    ca: path.join(dir, 'ca.pem'),
    address: hostname,
    port: Number(port),
  });
  const push = (members) =>
    new apn.Notification({
      topic: sandbox.topic,
      alert: { title: 'Welcome', body: 'Come in' },
      payload: { geopush_push_id: 'node-apn-1' },
      pushType: 'alert',
      priority: 10,
      ...members,
    });
  const tokens = [device('b1'), device('dead'), device('bad0')];
  const { sent, failed } = await provider.send(push(), tokens);
  claim('node-apn: a push is accepted', sent.length === 1 && sent[0].device === device('b1'), failed);
  const reasons = Object.fromEntries(failed.map((each) => [each.device, `${each.status} ${each.response?.reason}`]));
  claim('node-apn: a dead token', reasons[device('dead')] === '410 Unregistered', reasons);
  claim('node-apn: a bad token', reasons[device('bad0')] === '400 BadDeviceToken', reasons);
  const [shown] = await sentTo(device('b1'));
  claim('node-apn: it is sent', shown.push_id === 'node-apn-1' && shown.body === 'Come in', shown);
  const other = await provider.send(push({ topic: 'com.example.other' }), device('b1'));
  claim('node-apn: another topic', other.failed[0].response?.reason === 'DeviceTokenNotForTopic', other.failed);
  await fault({ provider: 'apns', action: 'goaway' });
  const last = await provider.send(push(), device('b2'));
  claim('node-apn: a push that meets GOAWAY is answered', last.sent.length === 1, last.failed);
  const next = await provider.send(push(), device('b3'));
  claim('node-apn: and the next goes by a new connection', next.sent.length === 1, next.failed);
  await provider.shutdown();
}

async function firebaseAdmin() {
  const { initializeApp, cert } = require('firebase-admin/app');
  const { getMessaging } = require('firebase-admin/messaging');
  // The client's addresses are constants: connections to Google lead to the sandbox instead.
  const tls = require('node:tls');
  const connect = tls.connect;
  const port = Number(new URL(sandbox.fcm_url).port);
  tls.connect = (...args) => {
    const options = args.find((arg) => arg !== null && typeof arg === 'object') ?? {};
    const host = typeof args[1] === 'string' ? args[1] : options.host;
    if (!host?.endsWith('.googleapis.com') && !host?.endsWith('.google.com')) return connect(...args);
    const callback = args.filter((arg) => typeof arg === 'function');
    return connect({ ...options, host: '127.0.0.1', port, servername: 'localhost' }, ...callback);
  };
  initializeApp({ credential: cert(path.join(dir, 'service-account.json')) });
  const messaging = getMessaging();
  const code = async (token) => {
    try {
      return await messaging.send({ token, notification: { title: 'Welcome', body: 'Come in' }, data: { k: 'v' } });
    } catch (error) {
      return error.code;
    }
  };
  const name = await code('node-1');
  claim('firebase-admin: a message is accepted', /^projects\/geopush-sandbox\/messages\//.test(name), name);
  for (const [token, expected] of [
    ['unregistered-1', 'messaging/registration-token-not-registered'],
    ['mismatch-1', 'messaging/mismatched-credential'],
    ['invalid-1', 'messaging/invalid-argument'],
  ]) {
    const found = await code(token);
    claim(`firebase-admin: ${token} is ${expected}`, found === expected, found);
  }
}

const run = { 'node-apn': nodeApn, 'firebase-admin': firebaseAdmin }[process.argv[2]];
run().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
