// An APNs that says farewell to its connections: Node's HTTP/2 server, which answers 200 to every push.
//
//   node away.js PORT IDENTITY.pem MANNER...
//
// Each connection has the next of the manners given, round and round, and is left after its 60th request:
//   close    in grace: GOAWAY with the last stream that came, which are all answered
//   behind   GOAWAY with a stream ten before the last: what came after it is not taken
//   cut      without a word, whatever is under way
// Each push that is taken it prints with a tab before its apns-id, and each farewell with its manner.
"use strict";
const fs = require("fs");
const http2 = require("http2");

const [port, identity, ...manners] = process.argv.slice(2);
const pem = fs.readFileSync(identity);
const LEAVE_AFTER = 60;
const BEHIND = 10;
const ANSWER_AFTER_MS = 20;
let connections = 0;

const server = http2.createSecureServer({ cert: pem, key: pem, settings: { maxConcurrentStreams: 40 } });
server.on("session", (session) => {
    session.manner = manners[connections++ % manners.length];
    session.streams = [];
    session.on("error", () => {});
});
server.on("stream", (stream, headers) => {
    const session = stream.session;
    // What is left out is refused.
    stream.on("error", () => {});
    if (session.last !== undefined && stream.id > session.last) return;
    session.streams.push(stream);
    stream.resume();
    stream.on("end", () => setTimeout(() => answer(session, stream, headers["apns-id"]), ANSWER_AFTER_MS));
    if (session.streams.length === LEAVE_AFTER) leave(session);
});

function answer(session, stream, id) {
    if (stream.id > (session.last ?? Infinity)) return;
    console.log(`taken\t${id}`);
    if (!stream.destroyed) stream.respond({ ":status": 200, "apns-id": id }, { endStream: true });
}

function leave(session) {
    console.log(session.manner);
    if (session.manner === "close") return session.close();
    if (session.manner === "cut") return session.destroy();
    session.last = session.streams[session.streams.length - 1 - BEHIND].id;
    session.goaway(http2.constants.NGHTTP2_NO_ERROR, session.last);
    // When what it promised is answered.
    setTimeout(() => session.close(), 10 * ANSWER_AFTER_MS);
}

server.listen(Number(port), "127.0.0.1");
