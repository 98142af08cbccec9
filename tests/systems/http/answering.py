"""Server whose path tells the status of its answer."""

import http.server


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(self.path.rpartition("/")[2] or 200)
        body = b'{"said": "<script>hello</script>"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass
