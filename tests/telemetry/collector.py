"""OTLP/HTTP receiver in this process, and the received data."""

import gzip
import http.server
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Receiver of spans; when ``silent``, it accepts requests and never answers."""

    def __init__(self, silent=False, status=200):
        self.spans, self.resources, self.paths, self.headers, self.asked = [], [], [], [], []
        self.halt = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.headers.append(dict(self.headers))
                if silent:
                    outer.halt.wait(60)
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.paths.append(self.path)
                for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                    outer.resources.append({pair.key: pair.value.string_value for pair in one.resource.attributes})
                    outer.spans += [span for scope in one.scope_spans for span in scope.spans]
                self._answer(status)

            def do_GET(self):
                outer.asked.append(self.headers.get("traceparent"))
                self._answer(200)

            def _answer(self, code):
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.halt.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
