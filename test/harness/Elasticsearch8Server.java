import java.io.Closeable;
import java.lang.reflect.Constructor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.MockNode;
import org.elasticsearch.plugins.Plugin;

/**
 * One node of Elasticsearch 8 on loopback, with its data in its home, and without scripts: its script engine is in no registry. Arguments: home, port for HTTP, port
 * among nodes.
 */
public class Elasticsearch8Server {
  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Files.createDirectories(home.resolve("config"));
    LogConfigurator.configureESLogging();
    LogConfigurator.setNodeName("only");
    Settings settings = Settings.builder()
      .put("path.home", home.toString())
      .put("cluster.name", "storage-lock")
      .put("node.name", "only")
      .put("network.host", "127.0.0.1")
      .put("http.port", arguments[1])
      .put("transport.port", arguments[2])
      .put("transport.type", "netty4")
      .put("http.type", "netty4")
      .put("discovery.type", "single-node")
      // The disk of a test machine may be fuller than it likes.
      .put("cluster.routing.allocation.disk.threshold_enabled", "false")
      .build();
    Environment environment =
      InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> "only");
    List<Class<? extends Plugin>> plugins =
      List.of(Class.forName("org.elasticsearch.transport.netty4.Netty4Plugin").asSubclass(Plugin.class));
    // It is not for everybody to call.
    Constructor<?> constructor = Arrays.stream(MockNode.class.getDeclaredConstructors())
      .filter((each) -> each.getParameterCount() == 4 && each.getParameterTypes()[0] == Environment.class)
      .findFirst()
      .get();
    constructor.setAccessible(true);
    MockNode node = (MockNode) constructor.newInstance(environment, plugins, false, (Closeable) () -> {});
    node.start();
    Thread.currentThread().join();
  }
}
