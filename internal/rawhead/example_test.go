package rawhead_test

import (
	"fmt"
	"io"
	"net"
	"net/http"

	"httpserver/internal/rawhead"
)

// A server shows each request's head as it arrived.
func Example() {
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rawhead.Of(r).OrView(r).WriteText(w, r)
	})}
	defer srv.Close()
	go rawhead.Serve(srv, ln, rawhead.Options{})

	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(c, "GET /a//b HTTP/1.0\r\nx-iD: 1\r\nHOST: here\r\nX-Id: 2\r\n\r\n")
	answer, _ := io.ReadAll(c)
	fmt.Printf("%s", answer[len(answer)-len("GET /a//b HTTP/1.0\nx-iD: 1\nHOST: here\nX-Id: 2\n"):])
	// Output:
	// GET /a//b HTTP/1.0
	// x-iD: 1
	// HOST: here
	// X-Id: 2
}
