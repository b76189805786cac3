import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.codelibs.elasticsearch.runner.node.ClusterRunnerNode;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.Plugin;

/** One node of Elasticsearch 7 on loopback, with its data in its home. Arguments: home, port for HTTP, port among nodes. */
public class Elasticsearch7Server {
  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Files.createDirectories(home.resolve("config"));
    System.setProperty("es.set.netty.runtime.available.processors", "false");
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
      "org.elasticsearch.transport.Netty4Plugin",
      "org.elasticsearch.painless.PainlessPlugin",
      "org.elasticsearch.analysis.common.CommonAnalysisPlugin",
      "org.elasticsearch.index.mapper.MapperExtrasPlugin",
      "org.elasticsearch.index.reindex.ReindexPlugin"
    )) plugins.add(Class.forName(name).asSubclass(Plugin.class));
    new ClusterRunnerNode(new Environment(settings, home.resolve("config")), plugins).start();
    Thread.currentThread().join();
  }
}
