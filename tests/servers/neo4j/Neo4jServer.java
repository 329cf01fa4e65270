import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.neo4j.configuration.GraphDatabaseInternalSettings;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;
import org.neo4j.io.ByteUnit;
import org.neo4j.kernel.api.procedure.GlobalProcedures;
import org.neo4j.kernel.internal.GraphDatabaseAPI;

/**
 * Neo4j Community with Bolt on loopback: FOLDER PORT, the password in SERVER_PASSWORD. Prints READY
 * when it answers and stops when its standard input ends, so that it never outlives the tests.
 */
public class Neo4jServer {
  public static void main(String[] arguments) {
    try {
      DatabaseManagementService server =
          start(
              Path.of(arguments[0]),
              Integer.parseInt(arguments[1]),
              System.getenv("SERVER_PASSWORD"));
      System.out.println("READY");
      while (System.in.read() >= 0) {}
      server.shutdown();
    } catch (Throwable failure) {
      failure.printStackTrace();
      System.exit(1); // Neo4j's threads would keep a half-started server alive.
    }
  }

  private static DatabaseManagementService start(Path home, int port, String password)
      throws Exception {
    boolean isNew = !Files.exists(home.resolve("data"));
    DatabaseManagementService server =
        new DatabaseManagementServiceBuilder(home)
            .setConfig(BoltConnector.enabled, true)
            .setConfig(BoltConnector.listen_address, new SocketAddress("127.0.0.1", port))
            .setConfig(GraphDatabaseSettings.auth_enabled, true)
            // Tests give wrong passwords; nobody is locked out.
            .setConfig(GraphDatabaseSettings.auth_max_failed_attempts, 0)
            .setConfig(GraphDatabaseSettings.pagecache_memory, ByteUnit.mebiBytes(64))
            .setConfig(GraphDatabaseSettings.procedure_unrestricted, List.of("apoc.*"))
            .setConfig(GraphDatabaseInternalSettings.netty_server_shutdown_quiet_period, 0)
            .build();
    if (isNew) {
      server
          .database("system")
          .executeTransactionally(
              "ALTER USER neo4j SET PASSWORD $password CHANGE NOT REQUIRED",
              Map.of("password", password));
    }
    register(
        ((GraphDatabaseAPI) server.database("neo4j"))
            .getDependencyResolver()
            .resolveDependency(GlobalProcedures.class));
    return server;
  }

  /** The part of APOC that LangChain's Neo4jGraph calls. */
  private static void register(GlobalProcedures procedures) throws Exception {
    for (Class<?> part :
        List.of(
            apoc.create.Create.class,
            apoc.merge.Merge.class,
            apoc.meta.Meta.class,
            apoc.schema.Schemas.class)) {
      procedures.registerProcedure(part);
      procedures.registerFunction(part);
    }
  }
}
