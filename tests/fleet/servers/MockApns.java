import com.eatthepath.pushy.apns.ApnsPushNotification;
import com.eatthepath.pushy.apns.auth.ApnsVerificationKey;
import com.eatthepath.pushy.apns.server.MockApnsServer;
import com.eatthepath.pushy.apns.server.MockApnsServerBuilder;
import com.eatthepath.pushy.apns.server.ParsingMockApnsServerListenerAdapter;
import com.eatthepath.pushy.apns.server.PushNotificationHandler;
import com.eatthepath.pushy.apns.server.RejectedNotificationException;
import com.eatthepath.pushy.apns.server.RejectionReason;
import com.eatthepath.pushy.apns.server.ValidatingPushNotificationHandlerFactory;
import io.netty.channel.nio.NioEventLoopGroup;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * pushy's MockApnsServer, strict. Its one argument is a file of lines:
 *
 * <pre>
 * port N              where it listens
 * streams N           the most at once on a connection
 * alpn                it negotiates HTTP/2; without this it takes it for granted
 * restart N           it shuts down after every N pushes that it took, and starts again
 * identity FILE       its certificate's chain and key, PEM
 * clients FILE        whom it trusts that shows a certificate, PEM
 * key ID TEAM FILE TOPIC   a public key, PEM, and a topic that its tokens may send to
 * token TOPIC TOKEN   a phone
 * dead TOKEN MS       a phone that was gone at this time
 * once TOKEN REASON   a phone whose first push is refused so
 * </pre>
 *
 * What it hears it prints, a line each, the members parted by tabs: accepted TOKEN TOPIC ID TYPE PRIORITY EXPIRATION
 * COLLAPSE-ID PAYLOAD, or refused TOKEN TOPIC ID REASON.
 */
public final class MockApns extends ParsingMockApnsServerListenerAdapter {
    private final Map<String, String> settings = new HashMap<>();
    private final Map<String, ApnsVerificationKey> keys = new HashMap<>();
    private final Map<ApnsVerificationKey, Set<String>> topicsOfKey = new HashMap<>();
    private final Map<String, Set<String>> tokens = new HashMap<>();
    private final Map<String, Instant> dead = new HashMap<>();
    private final Map<String, RejectionReason> once = new ConcurrentHashMap<>();
    private final NioEventLoopGroup threads = new NioEventLoopGroup(2);
    private final ExecutorService restarting = Executors.newSingleThreadExecutor();
    private MockApnsServer server;
    private int accepted;

    public static void main(String[] arguments) throws Exception {
        MockApns mock = new MockApns();
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            mock.read(line.split(" "));
        }
        mock.start();
    }

    private void read(String[] words) throws Exception {
        switch (words[0]) {
            case "key" -> {
                ApnsVerificationKey key = ApnsVerificationKey.loadFromPkcs8File(new File(words[3]), words[2], words[1]);
                keys.put(words[1], key);
                topicsOfKey.put(key, Set.of(words[4]));
            }
            case "token" -> tokens.computeIfAbsent(words[1], topic -> new HashSet<>()).add(words[2]);
            case "dead" -> dead.put(words[1], Instant.ofEpochMilli(Long.parseLong(words[2])));
            case "once" -> once.put(words[1], RejectionReason.valueOf(words[2]));
            default -> settings.put(words[0], words.length > 1 ? words[1] : "");
        }
    }

    private void start() throws Exception {
        File identity = new File(settings.get("identity"));
        MockApnsServerBuilder builder = new MockApnsServerBuilder()
                .setServerCredentials(identity, identity, null)
                .setEventLoopGroup(threads)
                .setMaxConcurrentStreams(Integer.parseInt(settings.getOrDefault("streams", "100")))
                .setUseAlpn(settings.containsKey("alpn"))
                .setListener(this)
                .setHandlerFactory(session -> demanding(new ValidatingPushNotificationHandlerFactory(
                        tokens, dead, keys, topicsOfKey).buildHandler(session)));
        if (settings.containsKey("clients")) {
            builder.setTrustedClientCertificateChain(new File(settings.get("clients")));
        }
        server = builder.build();
        server.start(Integer.parseInt(settings.get("port"))).get();
    }

    /** What is right is still refused once, where that was asked for. */
    private PushNotificationHandler demanding(PushNotificationHandler handler) {
        return (headers, payload) -> {
            handler.handlePushNotification(headers, payload);
            String path = headers.path().toString();
            RejectionReason reason = once.remove(path.substring(path.lastIndexOf('/') + 1));
            if (reason != null) {
                throw new RejectedNotificationException(reason);
            }
        };
    }

    @Override
    public void handlePushNotificationAccepted(ApnsPushNotification push) {
        say("accepted", push, String.join("\t", push.getPushType().getHeaderValue(), "" + push.getPriority().getCode(),
                "" + push.getExpiration().getEpochSecond(), push.getCollapseId(), push.getPayload()));
        countAndRestart();
    }

    @Override
    public void handlePushNotificationRejected(ApnsPushNotification push, RejectionReason reason, Instant deadSince) {
        say("refused", push, reason.name());
    }

    private void say(String what, ApnsPushNotification push, String more) {
        System.out.println(String.join("\t", what, push.getToken(), push.getTopic(), "" + push.getApnsId(), more));
    }

    private synchronized void countAndRestart() {
        accepted += 1;
        String every = settings.get("restart");
        if (every != null && accepted % Integer.parseInt(every) == 0) {
            restarting.submit(() -> {
                server.shutdown().get();
                start();
                System.out.println("restarted");
                return null;
            });
        }
    }
}
