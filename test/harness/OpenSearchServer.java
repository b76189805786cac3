import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.codelibs.opensearch.runner.node.OpenSearchRunnerNode;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.plugins.Plugin;

/** One node of OpenSearch on loopback, with its data in its home. Arguments: home, port for HTTP, port among nodes. */
public class OpenSearchServer {
  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Files.createDirectories(home.resolve("config"));
    System.setProperty("opensearch.set.netty.runtime.available.processors", "false");
    Settings settings = Settings.builder()
      .put("path.home", home.toString())
      .put("cluster.name", "storage-lock")
      .put("node.name", "only")
      .put("network.host", "127.0.0.1")
      .put("http.port", arguments[1])
      .put("transport.port", arguments[2])
      .put("discovery.type", "single-node")
      // The disk of a test machine may be fuller than it likes.
      .put("cluster.routing.allocation.disk.threshold_enabled", "false")
      .build();
    List<Class<? extends Plugin>> plugins = new ArrayList<>();
    for (String name : List.of(
      "org.opensearch.transport.Netty4Plugin",
      "org.opensearch.painless.PainlessPlugin",
      "org.opensearch.analysis.common.CommonAnalysisPlugin",
      "org.opensearch.index.mapper.MapperExtrasPlugin",
      "org.opensearch.index.reindex.ReindexPlugin"
    )) plugins.add(Class.forName(name).asSubclass(Plugin.class));
    OpenSearchRunnerNode node = new OpenSearchRunnerNode(new Environment(settings, home.resolve("config")), plugins);
    node.start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        node.close();
      } catch (Exception ignored) {
        // It ends anyway.
      }
    }));
    Thread.currentThread().join();
  }
}
