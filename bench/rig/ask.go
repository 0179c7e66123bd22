package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Ask gets a page of the proxy's admin port, such as "/metrics". An answer other than 200 is an error.
func (p Proxy) Ask(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Close = true // nothing is to be left open in the end
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return text, err
}
