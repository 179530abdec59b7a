import java.lang.reflect.Field;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

/** DynamoDB Local on 127.0.0.1 only: by itself it listens on all addresses and has no option for it. */
public final class LoopbackDynamoDb {
    private LoopbackDynamoDb() {}

    public static void main(String[] arguments) throws Exception {
        DynamoDBProxyServer local = ServerRunner.createServerFromCommandLineArgs(arguments);
        Field inner = DynamoDBProxyServer.class.getDeclaredField("server");
        inner.setAccessible(true);
        int bound = 0;
        for (Connector connector : ((Server) inner.get(local)).getConnectors()) {
            ((ServerConnector) connector).setHost("127.0.0.1");
            bound++;
        }
        if (bound == 0) {
            throw new IllegalStateException("no connector to bind to 127.0.0.1");
        }
        local.start();
        local.join();
    }
}
