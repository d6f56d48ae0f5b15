#include "api/openapi/maker.h"

#include <stdio.h>

#include "api/openapi/schema.h"

void maker_put(struct maker *m, json_t *o, const char *name, json_t *v)
{
	if (json_object_set_new(o, name, v))
		m->bad = true;
}

void maker_append(struct maker *m, json_t *list, json_t *v)
{
	if (json_array_append_new(list, v))
		m->bad = true;
}

json_t *maker_object(struct maker *m, const struct json_object *o)
{
	if (!json_object_get(m->schemas, o->name)) {
		maker_put(m, m->schemas, o->name, schema_of_object(o));
		for (size_t i = 0; i < o->n; i++) {
			if (o->fields[i].of)
				json_decref(maker_object(m, o->fields[i].of));
		}
	}
	return schema_ref(o->name);
}

json_t *maker_page(struct maker *m, const struct json_object *o)
{
	char name[SCHEMA_NAME];

	json_decref(maker_object(m, o));
	snprintf(name, sizeof(name), "%s_page", o->name);
	if (!json_object_get(m->schemas, name))
		maker_put(m, m->schemas, name, schema_of_page(o));
	return schema_ref(name);
}

json_t *maker_body(struct maker *m, const struct json_schema *s)
{
	char name[SCHEMA_NAME];

	schema_body_name(s, name);
	if (!json_object_get(m->schemas, name))
		maker_put(m, m->schemas, name, schema_of_body(s));
	return schema_ref(name);
}
