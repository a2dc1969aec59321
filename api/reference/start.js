"use strict";
// no validator: the badge would ask a server on the internet
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reference", validatorUrl: "none", deepLinking: true, defaultModelsExpandDepth: 0 });
