/** The table, as text for those who make it by their own means. */
import { tableFault } from "./options.js"

const known = (table: string): string => {
  const fault = tableFault(table)
  if (fault !== undefined) throw fault
  return table.replace(/^arn:.*:table\//, "")
}

export const cloudFormation = (table: string): string => `StorageLockTable:
  Type: AWS::DynamoDB::Table
  DeletionPolicy: Retain
  UpdateReplacePolicy: Retain
  Properties:
    TableName: ${known(table)}
    BillingMode: PAY_PER_REQUEST
    AttributeDefinitions:
      - AttributeName: id
        AttributeType: S
    KeySchema:
      - AttributeName: id
        KeyType: HASH`

export const cdk = (table: string): string => `import { RemovalPolicy } from "aws-cdk-lib"
import { AttributeType, Billing, TableV2 } from "aws-cdk-lib/aws-dynamodb"

new TableV2(this, "StorageLock", {
  tableName: ${JSON.stringify(known(table))},
  partitionKey: { name: "id", type: AttributeType.STRING },
  billing: Billing.onDemand(),
  removalPolicy: RemovalPolicy.RETAIN
})`
