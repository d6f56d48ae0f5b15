#include "api/handlers/handlers.h"
#include "api/metrics.h"

void handle_metrics(struct request *rq)
{
	size_t len = 0;
	char *text = metrics_text(rq->metrics, &len);

	reply_bytes(&rq->reply, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
}
