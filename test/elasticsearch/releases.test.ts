/** ElasticsearchStorage keeps every promise on Elasticsearch 7.10, by scripts and without, and on 8.19, without: its script engine cannot be had. */
import * as Search from "../harness/search.js"
import { describeServer } from "../harness/server.js"
import { overFailingLink } from "../support/searchSuite.js"

await describeServer("ElasticsearchStorage on Elasticsearch 7.10", Search.own("Elasticsearch 7"), (server) => {
  overFailingLink(server, "auto", 0.2)
})

await describeServer("ElasticsearchStorage on Elasticsearch 8.19", Search.own("Elasticsearch 8"), (server) => {
  overFailingLink(server, "auto", 0.2)
})
