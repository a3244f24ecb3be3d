package main

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/x509"
)

// TestTLS: deputy ends TLS itself, with the certificate that it is given.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir, env := desk(t)
	other := httptest.NewUnstartedServer(nil) // it comes with a certificate for 127.0.0.1
	other.StartTLS()
	defer other.Close()
	pair := other.TLS.Certificates[0]
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := writeFile(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	key := writeFile(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	config := writeFile(t, filepath.Join(dir, "tls.yaml"), fmt.Sprintf("home: %s/home\nkey: env:DEPUTY_TEST_KEY\nlisten: %s\npublic_url: https://%[2]s\nuser: anna\ntls: {cert: %s, key: %s}\n", dir, addr, cert, key))
	p := start(t, nil, nil, env, "--config", config, "serve")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: other.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}}
	var resp *http.Response
	for range 500 {
		if resp, err = client.Get("https://" + addr + "/healthz"); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v: %s", resp, err, p.stderr)
	}
	resp.Body.Close()
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}}}
	if _, err := old.Get("https://" + addr + "/healthz"); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	p.stop(t)

	for name, c := range map[string]struct{ settings, says string }{
		"half a pair":        {"public_url: https://deputy.example\ntls: {cert: " + cert + "}", "cert and key go together"},
		"a plain public_url": {"public_url: http://localhost:1\ntls: {cert: " + cert + ", key: " + key + "}", "begins with https://"},
		"no such file":       {"public_url: https://deputy.example\ntls: {cert: " + cert + ", key: /nowhere.pem}", "nowhere.pem"},
		"open, and plain":    {"public_url: https://deputy.example\nlisten: 0.0.0.0:0", "open to other machines"},
		"no address":         {"public_url: https://deputy.example\nbehind_proxy: [caddy]", `"caddy" is neither an address`},
	} {
		settings := c.settings
		if !strings.Contains(settings, "listen:") {
			settings += "\nlisten: 127.0.0.1:0"
		}
		config := writeFile(t, filepath.Join(dir, "bad.yaml"), fmt.Sprintf("home: %s/home\nkey: env:DEPUTY_TEST_KEY\nuser: anna\n%s\n", dir, settings))
		if _, words, code := deputy(t, env, "--config", config, "serve"); code == 0 || !strings.Contains(words, c.says) {
			t.Errorf("%s: exit %d: %s", name, code, words)
		}
	}
}
